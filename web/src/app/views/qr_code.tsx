/** A QR code, dark on white in both themes: some cameras read nothing else. */

import type { JSX } from "preact"
import { useMemo } from "preact/hooks"
import type { Bytes } from "../../core/types"
import { qrOfBytes, qrOfText } from "../models/qr"

const QUIET = 3 // modules of white around it; the card adds the rest

interface Props {
  readonly content: string | Bytes
  readonly label: string
}

export function QrCode({ content, label }: Props): JSX.Element {
  const code = useMemo(() => (typeof content === "string" ? qrOfText(content) : qrOfBytes(content)), [content])
  const side = code.size + 2 * QUIET
  return (
    <svg class="qr" viewBox={`${-QUIET} ${-QUIET} ${side} ${side}`} role="img" aria-label={label}>
      <path d={code.path} />
    </svg>
  )
}
