// npm run simulate -- ...: builds the simulator, with bugs sown in the engine where the arguments ask for these, and runs it.
import { join } from 'node:path';

import { must, run } from './commands.mjs';
import { build, node, root } from './paths.mjs';

const args = process.argv.slice(2);
const sown = args.includes('--mutants') || args.includes('--mutant');
const how = sown ? ['--variant', 'mutants'] : ['--simulator-only'];
await must('building the simulator', run(node, [join(root, '.ci', 'native_tests.mjs'), ...how], { quiet: true }));
const { status } = await run(join(build, sown ? 'simulate_mutants' : 'simulate'), args);
process.exitCode = status;
