/** Numbers in words of one language. */

type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { readonly other: string }

/** Return a function that picks the form of a number and fills it in for `#`. */
export function pluralizer(language: string): (count: number, forms: Forms) => string {
  const rules = new Intl.PluralRules(language)
  const digits = new Intl.NumberFormat(language)
  return (count, forms) => (forms[rules.select(count)] ?? forms.other).replace("#", digits.format(count))
}
