/** How views reach the models. */

import { createContext } from "preact"
import { useContext } from "preact/hooks"
import type { App } from "../models/app"

const AppContext = createContext<App | null>(null)
export const AppProvider = AppContext.Provider

/** Return the models of this page. */
export function useApp(): App {
  const app = useContext(AppContext)
  if (app === null) throw new Error("no AppProvider around this view")
  return app
}
