// A command that waits for its time: when, and a button that cancels the command.

import { post, Problem } from './api.js';
import { confirm, toast } from './components.js';
import { h } from './dom.js';
import { time } from './format.js';

// zone is the time zone of the browser, in which the console shows and reads times.
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

// cancelButton asks, sends a cancelScheduled, and calls done with what the cancelled command
// became: true for cancelled, false for a command that isn't scheduled any more.
export function cancelButton({ stream, commandId, type, notBefore }, done) {
  const button = h('button.small', {
    type: 'button',
    'aria-label': `Cancel ${commandId}`,
    onclick: async () => {
      const sure = await confirm({
        title: 'Cancel the scheduled command?',
        text: `${type} ${commandId} of ${stream} waits until ${time(notBefore)}. A cancelled command ends as refused.`,
        action: 'Cancel the command',
        otherwise: 'Keep the command',
      });
      if (!sure) return;
      button.disabled = true;
      try {
        const answer = await post('/api/send', { command: { type: 'cancelScheduled', payload: { stream, commandId } }, wait: 10 });
        const ended = answer.body?.type?.endsWith(':not-scheduled');
        if (answer.status === 202) throw new Problem(202, { title: 'Accepted', detail: 'The outcome is not known yet. Read the stream again.' });
        if (answer.status !== 200 && !ended) throw new Problem(answer.status, answer.body ?? {});
        toast(ended ? `${commandId} is not scheduled any more.` : `${commandId} is cancelled.`, ended ? 'warn' : 'ok');
        done(!ended);
      } catch (err) {
        toast(`${err.title ?? 'Not cancelled'}: ${err.detail || err.message}`, err.status === 202 ? 'warn' : 'bad');
        button.disabled = false;
      }
    },
  }, 'Cancel');
  return button;
}
