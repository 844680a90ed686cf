#!/usr/bin/env node
/** The entry point of the command `skerry`. */
import { runCommand } from './program.js';
import { processTerminal } from './terminal.js';

process.exitCode = await runCommand(process.argv.slice(2), processTerminal());
