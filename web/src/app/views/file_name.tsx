/** A name that somebody else chose: as it would be saved, cut in the middle, its extension always in sight. */

import type { JSX } from "preact"
import { partsOfName } from "../models/files"

export function FileName({ name }: { readonly name: string }): JSX.Element {
  const [stem, extension] = partsOfName(name)
  // Each part by itself, so that neither turns the other round.
  return (
    <span class="file-name" dir="ltr">
      <bdi class="cut">{stem}</bdi>
      <bdi>{extension}</bdi>
    </span>
  )
}
