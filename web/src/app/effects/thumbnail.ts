/** Small pictures of pictures, made here and sent inside the message. */

import type { Bytes } from "../../core/types"

/** Bytes; spec/files.md, "Offer". */
const MAX_SIZE = 16_384
const LARGEST_PICTURE = 64 * 1_048_576 // bytes of a file worth decoding for this
const TYPES: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"])
const ALLOWED: ReadonlySet<string> = new Set(["image/webp", "image/jpeg"])
const FORMATS = ["image/webp", "image/jpeg"] as const // a browser without the first gives a PNG, which is not allowed
const TRIES = [
  { longest: 480, quality: 0.7 },
  { longest: 320, quality: 0.7 },
  { longest: 320, quality: 0.5 },
  { longest: 200, quality: 0.5 },
  { longest: 96, quality: 0.4 },
] as const

/**
 * Make a thumbnail of a picture; drawn anew, it holds nothing that the camera wrote beside the picture.
 *
 * @returns JPEG or WebP of at most 16,384 bytes; null if it is no picture.
 */
export async function thumbnailOf(file: File): Promise<Bytes | null> {
  if (!TYPES.has(file.type) || file.size > LARGEST_PICTURE) return null
  const picture = await createImageBitmap(file).catch(() => null)
  if (picture === null) return null
  try {
    for (const { longest, quality } of TRIES) {
      const small = await encoded(picture, longest, quality)
      if (small !== null && small.size <= MAX_SIZE) return new Uint8Array(await small.arrayBuffer())
    }
    return null
  } finally {
    picture.close()
  }
}

async function encoded(picture: ImageBitmap, longest: number, quality: number): Promise<Blob | null> {
  const scale = Math.min(1, longest / Math.max(picture.width, picture.height))
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)))
  const canvas = new OffscreenCanvas(width ?? 1, height ?? 1)
  const context = canvas.getContext("2d")
  if (context === null) return null
  context.imageSmoothingQuality = "high"
  context.fillStyle = "#ffffff" // JPEG has no transparency
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.drawImage(picture, 0, 0, canvas.width, canvas.height)
  for (const type of FORMATS) {
    const blob = await canvas.convertToBlob({ type, quality })
    if (ALLOWED.has(blob.type)) return blob
  }
  return null
}
