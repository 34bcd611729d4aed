// Unpacks the browser that the package brings into node_modules/.chromium: `unpack.mjs`, once after `npm ci`.
import { mkdirSync } from "node:fs"
import { fileURLToPath } from "node:url"

process.env.TMPDIR = fileURLToPath(new URL("node_modules/.chromium", import.meta.url)) // where it unpacks to
process.env.AWS_LAMBDA_JS_RUNTIME = "nodejs20.x" // with the libraries that it needs, as on a machine without any
mkdirSync(process.env.TMPDIR, { recursive: true })
const { default: chromium } = await import("@sparticuz/chromium")
console.log(await chromium.executablePath())
