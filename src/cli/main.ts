#!/usr/bin/env node
/** The entry point of the command `skerry`. */
import { runCommand } from './program.js';
import { processTerminal } from './terminal.js';

// `skerry volume list | head -1` closes the pipe early: nothing is wrong, and there is nobody left to tell.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
    throw error;
  });
}

process.exitCode = await runCommand(process.argv.slice(2), processTerminal());
