/**
 * A program of its own: reads the copy of a catalog in the directory that it is given, and says nothing. LMDB goes by what its pages
 * say, so damage can end the process that reads them: this one.
 */
import { readCopy } from './catalog_reading.js';

const [directory = ''] = process.argv.slice(2);
const reading = await readCopy(directory);
if (reading.state === 'damaged') {
  process.stderr.write(`${reading.why}\n`);
  process.exitCode = 1;
}
