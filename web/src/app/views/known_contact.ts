/** A contact by id, as it is now. */

import type { Contact } from "../../client/api"
import { useApp } from "./context"

export function useContact(id: number): Contact | null {
  const app = useApp()
  const open = app.thread.value
  if (open?.id === id && open.contact.value !== null) return open.contact.value
  return app.people.find(id)?.contact ?? app.people.blocked.value.find((contact) => contact.id === id) ?? null
}
