import { Session } from '/session.mjs'

const session = new Session()
const say = (text) => {
  const line = document.createElement('li')
  line.textContent = text
  document.getElementById('log').append(line)
}

document.getElementById('form').addEventListener('submit', async (event) => {
  event.preventDefault()
  const text = document.getElementById('text')
  say(text.value)
  try {
    const answer = await session.fetch(({ conversationId }) => `/v1/conversation/${conversationId}/message`, {
      method: 'POST',
      body: text.value,
    })
    const { reply, message } = await answer.json()
    say(reply ?? message)
  } catch {
    say('That did not work. Please try again.')
  }
  text.value = ''
})
