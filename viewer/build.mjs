// Bundles the page and the map library into one file, and writes beside it the licences of all that is in it.
import { build } from "esbuild";
import { copyFileSync, readFileSync, writeFileSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const target = "../src/crispmap/viewer/static";
const made = await build({
  entryPoints: ["src/main.js"], outfile: join(target, "viewer.js"), bundle: true, minify: true, format: "iife",
  target: "es2021", legalComments: "none", metafile: true, charset: "utf8",
});
for (const name of ["index.html", "viewer.css", "icon.svg"]) copyFileSync(join("src", name), join(target, name));

const packages = new Set();
for (const input of Object.keys(made.metafile.inputs)) {
  const found = input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (found) packages.add(found[1]);
}
const texts = ["viewer.js holds code of these packages:"];
for (const name of [...packages].sort()) {
  const folder = join("node_modules", name);
  const facts = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file || !existsSync(join(folder, file))) throw new Error(`${name} has no licence file`);
  const text = readFileSync(join(folder, file), "utf8").trim();
  texts.push(`${"=".repeat(80)}\n${name} ${facts.version} (${facts.license})\n\n${text}`);
}
writeFileSync(join(target, "licences.txt"), texts.join("\n\n") + "\n");
console.log([...packages].join(", "), Object.values(made.metafile.outputs).map((one) => one.bytes).join(", "), "bytes");
