/** Health and metrics over HTTP, for loopback only: nobody is asked who he is. */
import fastify, { type FastifyInstance } from 'fastify';

import { SkerryError, toSkerryError } from '../core/errors.js';

export interface HealthView {
  readonly state: 'starting' | 'serving' | 'stopping';
  /** It does what it is for. Where not, /health answers 503. */
  readonly healthy: boolean;
  /** What an operator should look at: a sentence each. */
  readonly problems: readonly string[];
}

export interface HttpOptions {
  readonly health: () => Promise<HealthView>;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}

const body_bytes_max = 1024;

export function buildHttp(options: HttpOptions): FastifyInstance {
  const app = fastify({ bodyLimit: body_bytes_max, forceCloseConnections: true });
  app.get('/health', async (_request, reply) => {
    const health = await options.health();
    return reply.code(health.healthy ? 200 : 503).send(health);
  });
  app.get('/metrics', async (_request, reply) => reply.type(options.metrics.contentType).send(await options.metrics.text()));
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ error: { code: 'not-found', message: 'there are /health and /metrics here' } }),
  );
  return app;
}

/** @returns HOST:PORT. @throws SkerryError conflict where the port is taken, saying how to choose another. */
export async function listenHttp(app: FastifyInstance, port: number): Promise<string> {
  const host = '127.0.0.1';
  try {
    const url = new URL(await app.listen({ host, port }));
    return url.port === '' ? `${host}:80` : `${host}:${url.port}`;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
      throw new SkerryError(
        'conflict',
        `${host}:${port}, where health and metrics are served, is in use by another program: choose another port with --http-port (0 picks a free one)`,
        { cause: error },
      );
    }
    throw toSkerryError(error, `health and metrics cannot be served at ${host}:${port}`);
  }
}
