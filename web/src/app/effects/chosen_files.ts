/** Files as they come from a person: chosen, dropped, pasted. */

import type { OfferedFile } from "../../client/api"
import { folders, single, type Parcel } from "../models/parcels"

/** Read what a chooser of folders returned. */
export function chosenFolder(files: FileList): readonly Parcel[] {
  return folders([...files].map((file) => ({ path: file.webkitRelativePath, file })))
}

/** Read what was dropped: files, and folders with all that is in them. */
export async function dropped(transfer: DataTransfer): Promise<readonly Parcel[]> {
  // All of it at once: after the first wait the browser takes it away.
  const items = [...transfer.items].filter(({ kind }) => kind === "file")
  const found = items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }))
  const parcels: Parcel[] = []
  for (const { entry, file } of found) {
    if (entry?.isDirectory === true) {
      const files = await inside(entry as FileSystemDirectoryEntry, "")
      parcels.push({ folder: entry.name, files })
    } else if (file !== null) parcels.push(...single([file]))
  }
  return parcels
}

/** Tell whether what is dragged or pasted holds files. */
export function holdsFiles(transfer: DataTransfer | null): boolean {
  return transfer?.types.includes("Files") ?? false
}

/** Keep the browser from leaving the page for a file that was dropped beside the conversation. */
export function ignoreStrayFiles(): void {
  const ignore = (event: DragEvent): void => {
    if (event.defaultPrevented || event.dataTransfer === null || !holdsFiles(event.dataTransfer)) return
    event.preventDefault()
    event.dataTransfer.dropEffect = "none"
  }
  addEventListener("dragover", ignore)
  addEventListener("drop", ignore)
}

/** Return the pictures of a paste; a browser calls each of them image.png. */
export function pasted(transfer: DataTransfer | null, now: number): readonly Parcel[] {
  const pictures = [...(transfer?.files ?? [])]
  const stamp = new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-")
  return single(
    pictures.map((file, at) => {
      if (!/^image\.[a-z]+$/.test(file.name)) return file
      const name = file.name.replace(".", `-${stamp}${at === 0 ? "" : `-${at + 1}`}.`)
      return new File([file], name, { type: file.type, lastModified: file.lastModified })
    }),
  )
}

async function inside(folder: FileSystemDirectoryEntry, above: string): Promise<OfferedFile[]> {
  const files: OfferedFile[] = []
  const reader = folder.createReader()
  for (;;) {
    // Some at a time, until there are no more.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => { reader.readEntries(resolve, reject) })
    if (entries.length === 0) return files
    for (const entry of entries) {
      const path = above === "" ? entry.name : `${above}/${entry.name}`
      if (entry.isDirectory) files.push(...(await inside(entry as FileSystemDirectoryEntry, path)))
      else {
        const file = await new Promise<File>((resolve, reject) => {
          ;(entry as FileSystemFileEntry).file(resolve, reject)
        })
        files.push({ path, file })
      }
    }
  }
}
