/**
 * The script addresses this page may use, as Trusted Types want them.
 *
 * The policy lets nothing else through, so a string that slips into a script address anywhere is refused.
 */

import workerAddress from "../../client/worker?worker&url"
import qrWorkerAddress from "../qr_worker?worker&url"
import type { TrustedScriptUrl } from "../../client/connect"

const SERVICE_WORKER = "service_worker.js"

interface Policy {
  createScriptURL(address: string): TrustedScriptUrl
}

interface PolicyFactory {
  createPolicy(name: string, rules: { createScriptURL(address: string): string }): Policy
}

/** The Worker's script: a constant of the build. */
export function workerUrl(): TrustedScriptUrl | string {
  return trust(workerAddress)
}

/** The script of the Worker that reads QR codes: likewise. */
export function qrWorkerUrl(): TrustedScriptUrl | string {
  return trust(qrWorkerAddress)
}

/** The service worker's script, beside the page. */
export function serviceWorkerUrl(): TrustedScriptUrl | string {
  return trust(new URL(SERVICE_WORKER, document.baseURI).href)
}

let policy: Policy | null = null

function trust(address: string): TrustedScriptUrl | string {
  const factory = (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes
  if (factory === undefined) return address
  policy ??= factory.createPolicy("halonyx", { createScriptURL: check })
  return policy.createScriptURL(address)
}

function check(address: string): string {
  const known = [workerAddress, qrWorkerAddress, new URL(SERVICE_WORKER, document.baseURI).href]
  if (!known.includes(address)) throw new TypeError("not a script of this page")
  return address
}
