/** What a file looks like: its own picture, the small one that came with the offer, or a sign for its kind. */

import {
  AppWindow,
  File as FileIcon,
  FileArchive,
  FileHeadphone,
  FileImage,
  FileText,
  FileVideoCamera,
  Folder,
  type LucideIcon,
} from "lucide-preact"
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Transfer } from "../../client/api"
import { isImage, kindOf, partsOfName, type FileKindName } from "../models/files"
import { text } from "../text/text"
import { useApp } from "./context"

const ICONS: Readonly<Record<FileKindName, LucideIcon>> = {
  folder: Folder,
  image: FileImage,
  video: FileVideoCamera,
  audio: FileHeadphone,
  archive: FileArchive,
  text: FileText,
  program: AppWindow,
  file: FileIcon,
}

export function KindIcon({ of }: { readonly of: Pick<Transfer, "name" | "mediaType" | "isFolder"> }): JSX.Element {
  const Icon = ICONS[kindOf(of)]
  return (
    <span class="file-icon">
      <Icon size={22} strokeWidth={1.5} />
    </span>
  )
}

/** The picture of an offer, large; nothing if it is not a picture. */
export function FilePicture({ file }: { readonly file: Transfer }): JSX.Element | null {
  const small = useObjectUrl(file.thumbnail)
  const picture = useFullPicture(file)
  const full = useObjectUrl(picture === "not shown" ? null : picture)
  const address = full ?? small
  const name = partsOfName(file.name).join("")
  const words = full === null ? text.files.thumbnail(name) : text.files.picture(name)
  return (
    <>
      {address !== null && <img class="file-picture" src={address} alt={words} />}
      {picture === "not shown" && <p class="small file-note">{text.files.notShown}</p>}
    </>
  )
}

/** A picture of theirs, once all of it was checked. */
function useFullPicture(file: Transfer): Blob | "not shown" | null {
  const { api } = useApp()
  const [picture, setPicture] = useState<Blob | "not shown" | null>(null)
  const isThere = isImage(file) && !file.outgoing && file.state === "done"
  useEffect(() => {
    if (!isThere) {
      setPicture(null)
      return
    }
    let isCurrent = true
    api.openImage(file.id).then(
      (opened) => { if (isCurrent) setPicture(opened ?? "not shown") },
      () => undefined, // the small one stays
    )
    return () => { isCurrent = false }
  }, [api, file.id, isThere])
  return picture
}

/** Return an address for content, as long as it is shown. */
export function useObjectUrl(content: Blob | Uint8Array<ArrayBuffer> | null): string | null {
  const [address, setAddress] = useState<string | null>(null)
  useEffect(() => {
    if (content === null) {
      setAddress(null)
      return
    }
    const made = URL.createObjectURL(content instanceof Blob ? content : new Blob([content]))
    setAddress(made)
    return () => { URL.revokeObjectURL(made) }
  }, [content])
  return address
}
