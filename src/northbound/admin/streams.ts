/** The routes of the admin API that carry bytes and not JSON: what differs, and what is to be applied. */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { stream_content_type, streamRoutes } from '../../api/routes.js';
import { applyQuery, diffQuery } from '../../api/shapes.js';
import { SkerryError } from '../../core/errors.js';
import type { Resources } from '../../mapper/resources.js';
import { invalidRequest } from './errors.js';
import { viewResource } from './views.js';

export function addStreams(app: FastifyInstance, resources: Pick<Resources, 'diffStream' | 'applyStream'>): void {
  // Handed on as it comes: it may be as long as a volume.
  app.addContentTypeParser(stream_content_type, (_request, payload, done) => {
    done(null, payload);
  });
  app.route({
    method: streamRoutes.diff.method,
    url: streamRoutes.diff.path,
    handler: async (request, reply) => {
      const query = diffQuery.safeParse(request.query);
      if (!query.success) throw invalidRequest('query', query.error);
      const frames = await resources.diffStream(query.data.from, query.data.to);
      // A failure after the first byte breaks the connection off, which no client takes for an end.
      return reply.type(stream_content_type).send(Readable.from(frames, { objectMode: false }));
    },
  });
  app.route<{ Params: { name: string } }>({
    method: streamRoutes.apply.method,
    url: streamRoutes.apply.path,
    handler: async (request) => {
      if (!(request.body instanceof Readable))
        throw new SkerryError('invalid', `the body must be a diff stream, with the header content-type: ${stream_content_type}`);
      const query = applyQuery.safeParse(request.query);
      if (!query.success) throw invalidRequest('query', query.error);
      const anyBase = query.data.anyBase === 'true';
      return viewResource(await resources.applyStream(request.params.name, request.body, { anyBase }));
    },
  });
}
