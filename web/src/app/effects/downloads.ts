/** Handing files over to the person: to where the browser saves what is downloaded. */

const KEPT_MS = 600_000 // a slow disk may take its time
const BETWEEN_MS = 250 // browsers drop downloads that come all at once

/** Save one file under a name, which must be safe. */
export function download(file: File, name: string): void {
  const address = URL.createObjectURL(file)
  const link = document.createElement("a")
  link.href = address
  link.download = name
  link.click()
  setTimeout(() => { URL.revokeObjectURL(address) }, KEPT_MS)
}

/** Save several, one after another; a browser may ask whether it should. */
export async function downloadAll(files: readonly { readonly path: string; readonly file: File }[]): Promise<void> {
  for (const { path, file } of files) {
    download(file, path.split("/").at(-1) ?? path)
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS))
  }
}
