/** How much room the browser gives, and how much of it is taken. */

import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { sizeText } from "../text/amounts"
import { text } from "../text/text"

export function StorageUse(): JSX.Element {
  const [estimate, setEstimate] = useState<StorageEstimate>({})
  useEffect(() => { navigator.storage.estimate().then(setEstimate, () => undefined) }, [])
  const { usage, quota } = estimate
  return (
    <>
      <p class="small">
        {usage !== undefined && quota !== undefined && text.files.storageOf(sizeText(usage), sizeText(quota))}
        {usage !== undefined && quota === undefined && text.files.storageUsed(sizeText(usage))}
      </p>
      <p class="small soft">{text.files.storageHint}</p>
    </>
  )
}
