/**
 * Messages between a page and its Worker.
 *
 * Source: spec/delivery.md, "Client".
 */

import type { Api, ApiError, Change, FileApi } from "./api"
import type { Engine } from "./engine"

type Files = FileApi & Engine
export type Calls = Api & Engine

/** The calls a page may make, and nothing else that the client has. */
const METHODS: Readonly<Record<Exclude<keyof Api, keyof FileApi>, true>> = {
  status: true,
  createAccount: true,
  recoverAccount: true,
  card: true,
  readCard: true,
  addContact: true,
  conversations: true,
  requests: true,
  contact: true,
  renameContact: true,
  blockContact: true,
  unblockContact: true,
  removeContact: true,
  blocked: true,
  trustContact: true,
  acceptRequest: true,
  refuseRequest: true,
  messages: true,
  messagesAround: true,
  notices: true,
  forgetNotice: true,
  send: true,
  markRead: true,
  safetyNumber: true,
  verify: true,
  searchMessages: true,
  takesInvites: true,
  makeInvite: true,
  retry: true,
  relayKnows: true,
  deleteAccount: true,
  eraseDevice: true,
}

/** Those about files. */
const FILE_METHODS: Readonly<Record<keyof Files, true>> = {
  offerFiles: true,
  filesOf: true,
  acceptFile: true,
  refuseFile: true,
  pauseFile: true,
  resumeFile: true,
  cancelFile: true,
  retryFile: true,
  allowDirect: true,
  saveFile: true,
  openImage: true,
  fileJobs: true,
  reportFiles: true,
  readPiece: true,
  writePiece: true,
  closePieces: true,
  fileArrived: true,
  fileFailed: true,
}

/** A call: `args` are those of the method. */
export interface Call {
  readonly id: number
  readonly method: keyof Calls
  readonly args: readonly unknown[]
}

export type FromWorker =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: ApiError }
  | { readonly change: Change }

/** Tell whether a name is a call that a page may make. */
export function isMethod(name: unknown): name is keyof Calls {
  return isFileMethod(name) || (typeof name === "string" && Object.hasOwn(METHODS, name))
}

/** Tell whether it is one about files. */
export function isFileMethod(name: unknown): name is keyof Files {
  return typeof name === "string" && Object.hasOwn(FILE_METHODS, name)
}
