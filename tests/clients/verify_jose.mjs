// Verifies with jose: createRemoteJWKSet and jwtVerify, the way its documentation shows.
//
//   node verify_jose.mjs CASES.json

import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { check, refusal } from './checks.mjs'

const { label, jwks, cases } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const keys = createRemoteJWKSet(new URL(jwks))

for (const { name, token, issuer, audience, good } of cases) {
  await check(`jose, ${label}: ${good ? 'accepts' : 'refuses'} ${name}`, async () => {
    const verified = jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt', requiredClaims: ['exp', 'iat', 'sub', 'jti'] })
    if (good) {
      await verified
      return
    }
    // Refused by a check of jose, not by a mistake in this file.
    const error = await refusal(verified)
    if (!/^ERR_J/.test(error.code ?? '')) throw error
  })
}
