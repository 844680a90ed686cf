/** --compression of pools and volumes. */
import { InvalidArgumentError, Option } from 'commander';
import { compressionForms, compressionText, volumeCompressionText } from '../core/compression.js';
import { SkerryError } from '../core/errors.js';

const forms = ['none', 'lz4', 'zstd', 'zstd:1', 'zstd:9', 'zstd:19'];

/** `what`: whose blocks they are. */
export function compressionOption(what: string): Option {
  return optionOf(`${what}: ${compressionForms}`, compressionText, forms);
}

export function volumeCompressionOption(what: string): Option {
  return optionOf(`${what}: inherit (as its pool), ${compressionForms}`, volumeCompressionText, ['inherit', ...forms]);
}

function optionOf(description: string, parse: (text: string) => string, completions: string[]): Option {
  const option = new Option('--compression <how>', description).argParser((text: string) => orUsage(() => parse(text)));
  // What a shell completes; other levels are taken too.
  option.argChoices = completions;
  return option;
}

function orUsage(parse: () => string): string {
  try {
    return parse();
  } catch (error) {
    if (error instanceof SkerryError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
}
