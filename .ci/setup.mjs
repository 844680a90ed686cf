// Brings node_modules to what the lockfile says, and only when it is not so already. With --for-tests also the system
// packages that tests need. Runs on any node >= 20 with nothing installed.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './commands.mjs';
import { modules, node, root } from './paths.mjs';
import { ensureSystemPackages } from './system_packages.mjs';

const stampPath = join(modules, '.skerry_setup');

/** What node_modules was made from, and for which machine. */
function stamp() {
  const hash = createHash('sha256');
  hash.update(readFileSync(join(root, 'package-lock.json')));
  hash.update(`${process.platform} ${process.arch}`);
  return hash.digest('hex');
}

function isUpToDate() {
  return existsSync(stampPath) && existsSync(node) && readFileSync(stampPath, 'utf8') === stamp();
}

async function main() {
  if (Number(process.versions.node.split('.')[0]) < 20)
    throw new Error(`node ${process.versions.node} is too old: take 20 or newer`);
  await ensureSystemPackages({ tests: process.argv.includes('--for-tests') });
  if (process.argv.includes('--stamp')) writeFileSync(stampPath, stamp());
  if (isUpToDate()) return;
  console.error('skerry: installing node packages');
  // Under npm run this is the npm that runs; its own settings came in as environment, and hold for the one inside too.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status, output } = await (npm === undefined
    ? run('npm', args, { quiet: true })
    : run(process.execPath, [npm, ...args], { quiet: true }));
  if (status !== 0) throw new Error(`${output}\nnpm ci failed`);
  if (!existsSync(node)) throw new Error(`${node} is missing after npm ci: were install scripts switched off?`);
  writeFileSync(stampPath, stamp());
}

main().catch((error) => {
  console.error(`skerry: ${error.message}`);
  process.exit(1);
});
