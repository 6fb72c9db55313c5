// One line a check, in the form that `run` counts.

export async function check(name, body) {
  try {
    await body()
    console.log(`ok   ${name}`)
  } catch (error) {
    const reason = String(error?.stack ?? error).split('\n').slice(0, 4).join(' | ')
    console.log(`FAIL ${name}: ${reason}`)
    process.exitCode = 1
  }
}

// The error that a promise is rejected with.
export async function refusal(promise) {
  let value
  try {
    value = await promise
  } catch (error) {
    return error
  }
  throw new Error(`was not refused: ${JSON.stringify(value)}`)
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
