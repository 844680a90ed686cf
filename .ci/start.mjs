// npm start: builds what is not built, then becomes `skerry serve` with the arguments behind `npm start --`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { buildAddon, buildTypescript } from './build.mjs';
import { node, root } from './paths.mjs';

await buildAddon();
await buildTypescript();
const main = join(root, 'dist', 'src', 'cli', 'main.js');
const child = spawn(node, [main, 'serve', ...process.argv.slice(2)], { stdio: 'inherit' });
// A terminal's Ctrl-C reaches both; this process only has to outlive it, so that the daemon can end in order.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (signal !== 'SIGINT') child.kill(signal);
  });
}
child.on('error', (error) => {
  console.error(`skerry: ${error.message}`);
  process.exitCode = 1;
});
child.on('close', (status, signal) => {
  process.exitCode = status ?? (signal === null ? 1 : 128);
});
