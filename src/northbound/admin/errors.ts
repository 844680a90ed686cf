/**
 * From any failure to the wire: {error: {code, message}} with the status of the one error table. Failures of the HTTP layer
 * itself (a body that is not JSON, a path that does not decode, no such route) are put in the same terms first.
 */
import type { z } from 'zod';
import type { ErrorView } from '../../api/shapes.js';
import { SkerryError, toSkerryError } from '../../core/errors.js';

export interface WireError {
  readonly status: number;
  readonly body: ErrorView;
}

export function wireError(error: unknown): WireError {
  const known = fromHttp(error) ?? toSkerryError(error);
  return { status: known.httpStatus, body: { error: { code: known.code, message: known.message } } };
}

/** What zod found, one clause each: `sizeBytes: expected number, received string`. */
export function invalidRequest(part: 'params' | 'query' | 'body', error: z.ZodError): SkerryError {
  const clauses = error.issues.map((issue) => {
    const path = issue.path.map(String).join('.');
    const message = issue.message.replace(/^Invalid input: /, '');
    return path === '' ? message : `${path}: ${message}`;
  });
  const where = { params: 'the path', query: 'the query', body: 'the request' }[part];
  return new SkerryError('invalid', `${where} is not as it should be: ${clauses.join('; ')}`);
}

export function unknownRoute(method: string, url: string): SkerryError {
  const shown = url.length <= 200 ? url : `${url.slice(0, 197)}...`;
  return new SkerryError('not-found', `there is no ${method} ${shown} in this API`);
}

const httpMessages: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'the body must be JSON, with the header content-type: application/json',
  FST_ERR_CTP_INVALID_JSON_BODY: 'the body is not JSON',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'the body is empty where JSON was announced',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'the body is not as long as its content-length says',
  FST_ERR_CTP_BODY_TOO_LARGE: 'the body is too large for this API',
  FST_ERR_BAD_URL: 'the path does not decode: write % as %25',
};

function fromHttp(error: unknown): SkerryError | null {
  if (!(error instanceof Error) || error instanceof SkerryError) return null;
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 0;
  if (status < 400 || status > 499) return null;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const message = httpMessages[code] ?? (error instanceof SyntaxError ? 'the body is not JSON' : error.message);
  return new SkerryError(status === 413 ? 'too-large' : status === 404 ? 'not-found' : 'invalid', message, { cause: error });
}
