/** Contents of transfers as they stream over this API, of any length. */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { stream_content_type, transferContentPath } from '../../api/routes.js';
import { contentParams } from '../../api/shapes.js';
import { SkerryError } from '../../core/errors.js';
import type { Resources } from '../../mapper/resources.js';
import { invalidRequest } from './errors.js';
import { viewTransfer } from './views.js';

export function registerContent(app: FastifyInstance, resources: Pick<Resources, 'receiveContent' | 'sendContent'>): void {
  app.route({
    method: 'PUT',
    url: transferContentPath,
    handler: async (request) => {
      const id = idOf(request.params);
      if (!(request.body instanceof Readable))
        throw new SkerryError('invalid', `the content must come with the header content-type: ${stream_content_type}`);
      return viewTransfer(await resources.receiveContent(id, request.body));
    },
  });
  app.route({
    method: 'GET',
    url: transferContentPath,
    handler: (request, reply) => reply.type(stream_content_type).send(resources.sendContent(idOf(request.params))),
  });
}

function idOf(params: unknown): number {
  const parsed = contentParams.safeParse(params);
  if (!parsed.success) throw invalidRequest('params', parsed.error);
  return parsed.data.id;
}
