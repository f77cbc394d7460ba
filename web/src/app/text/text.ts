/** The catalogue in use. A second language adds a file with the shape of `en` and a choice here. */

import { en } from "./en"

export type Catalogue = typeof en

export const language = "en"
export const text: Catalogue = en
