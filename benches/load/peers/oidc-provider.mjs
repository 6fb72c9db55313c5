// oidc-provider with nothing on disk: client_credentials, JWT access tokens signed with ES256.
// Prints `ready PORT`.

import { createServer } from "node:http";

import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const ISSUER = "http://hallpass.test";
const { privateKey } = await generateKeyPair("ES256", { extractable: true });
const jwk = { ...(await exportJWK(privateKey)), alg: "ES256", use: "sig" };

const provider = new Provider(ISSUER, {
  jwks: { keys: [jwk] },
  clients: [
    {
      client_id: "load",
      client_secret: "a-secret-that-is-long-enough-for-a-client",
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: "client_secret_post",
      id_token_signed_response_alg: "ES256",
    },
  ],
  scopes: ["conversation", "bot", "report"],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `${ISSUER}/api`,
      getResourceServerInfo: () => ({
        scope: "conversation bot report",
        audience: `${ISSUER}/api`,
        accessTokenTTL: 900,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});

const server = createServer(provider.callback());
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));
