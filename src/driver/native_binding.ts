/** Loads the binding of a driver to its backend's C library, built beside the engine where that library's headers were. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { SkerryError } from '../core/errors.js';

export interface NativeBinding {
  readonly driver: string;
  /** Debian's package with the headers of the library. */
  readonly package: string;
}

/** The caller says what it holds. @throws SkerryError unsupported that tells how to have it */
export function loadNativeBinding(binding: NativeBinding): unknown {
  const path = bindingPath(binding.driver);
  try {
    return createRequire(import.meta.url)(path);
  } catch (error) {
    const why = existsSync(path) ? (error instanceof Error ? error.message : String(error)) : `${path} was not built`;
    throw new SkerryError(
      'unsupported',
      `driver ${binding.driver} cannot be used here (${why}): apt-get install ${binding.package}, then npm run build`,
      { cause: error },
    );
  }
}

/** SKERRY_BINDINGS names another folder of them: those built with a sanitizer, for one. */
export function bindingPath(driver: string): string {
  return join(process.env['SKERRY_BINDINGS'] ?? builtDirectory(), `${driver}_bindings.node`);
}

/** The same from src/ and from dist/src/. */
function builtDirectory(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json')) && dirname(directory) !== directory) directory = dirname(directory);
  return join(directory, 'build', 'Release');
}
