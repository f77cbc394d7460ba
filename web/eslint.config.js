import { defineConfig } from "eslint/config"
import tseslint from "typescript-eslint"

const forbid = (...patterns) => ({ "no-restricted-imports": ["error", { patterns: patterns.map((group) => ({ group: [group] })) }] })

export default defineConfig(
  { ignores: ["dist", "node_modules"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js"] } } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "named exports only" },
        { selector: "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML)$/]", message: "text goes in by textContent" },
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "text goes in by textContent" },
      ],
    },
  },
  { files: ["*.js", "*.ts"], rules: { "no-restricted-syntax": "off" } },
  // app → client → wire → core, as in Python.
  { files: ["src/core/**"], rules: forbid("**/wire/**", "**/client/**", "**/app/**", "idb", "preact*") },
  { files: ["src/wire/**"], rules: forbid("**/client/**", "**/app/**", "idb", "preact*") },
  { files: ["src/client/**"], rules: forbid("**/app/**", "preact*") },
)
