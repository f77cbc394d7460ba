/** What a person is about to offer: single files, each an offer of its own, and folders, each one offer. */

import type { OfferedFile } from "../../client/api"

export const MAX_FILES = 10_000 // of one offer; spec/files.md, "Container"

/** One offer to be. */
export interface Parcel {
  /** Name of the folder; null for a single file. */
  readonly folder: string | null
  readonly files: readonly OfferedFile[]
}

export function nameOf({ folder, files }: Parcel): string {
  return folder ?? files[0]?.path ?? ""
}

/** In bytes. */
export function sizeOf({ files }: Parcel): number {
  return files.reduce((sum, { file }) => sum + file.size, 0)
}

/** Make an offer of each file. */
export function single(files: readonly File[]): readonly Parcel[] {
  return files.map((file) => ({ folder: null, files: [{ path: file.name, file }] }))
}

/** Make one offer of each folder among files that a browser gave with their paths. */
export function folders(files: readonly OfferedFile[]): readonly Parcel[] {
  const byFolder = new Map<string, OfferedFile[]>()
  for (const { path, file } of files) {
    const [folder = "", ...rest] = path.split("/")
    byFolder.set(folder, [...(byFolder.get(folder) ?? []), { path: rest.join("/"), file }])
  }
  return [...byFolder].map(([folder, inside]) => ({ folder, files: inside }))
}

/** Why an offer can't be made: code, or null. */
export function problemOf({ folder, files }: Parcel): "empty-folder" | "too-many-files" | null {
  if (folder === null) return null
  if (files.length === 0) return "empty-folder"
  return files.length > MAX_FILES ? "too-many-files" : null
}

/** Add to what is there; the same file twice is there once. */
export function joined(parcels: readonly Parcel[], more: readonly Parcel[]): readonly Parcel[] {
  const known = new Set(parcels.map(keyOf))
  return [...parcels, ...more.filter((parcel) => !known.has(keyOf(parcel)))]
}

function keyOf(parcel: Parcel): string {
  const [first] = parcel.files
  return JSON.stringify([parcel.folder, nameOf(parcel), parcel.files.length, sizeOf(parcel), first?.file.lastModified])
}
