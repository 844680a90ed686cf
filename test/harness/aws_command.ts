/** The command of AWS, version 2: Debian's, where there is one, for others may come before it in PATH. */
import { existsSync } from 'node:fs';

import { must } from './command.ts';

const debians = '/usr/bin/aws';

/** Its name, or path. @throws Error where it is version 1, which is another program */
export async function awsProgram(): Promise<string> {
  const program = existsSync(debians) ? debians : 'aws';
  const version = await must(program, ['--version']);
  if (!version.startsWith('aws-cli/2')) throw new Error(`${program} is ${version.trim()}, and version 2 is to be tested`);
  return program;
}
