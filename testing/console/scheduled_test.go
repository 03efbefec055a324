package console

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A command with a time is scheduled, and cancelled from its form or from the
// page of its stream. A time that the command service refuses is marked.
func TestScheduled(t *testing.T) {
	t.Parallel()
	s := startTroubled(t)
	s.send(http.StatusOK, "createUser", "1", "Alice")
	const local = "2006-01-02T15:04:05"
	tomorrow := time.Now().Add(24 * time.Hour)
	w := window(t, s.Service, wide)
	w.in("Asia/Kolkata") // a zone that is no whole hours away from UTC
	w.visit("#/send/renameUser")
	w.click("summary", "Options")
	w.fill("id", "1")
	w.fill("name", "Carol")
	w.fill("Command id", "later-1")
	w.shows("in the time zone Asia/Calcutta") // as Chromium calls the zone

	w.fill("Not before", "2090-01-01T12:00:00")
	w.click("button", "Send")
	w.shows("400 Invalid")
	w.wait("the wrong field is marked", "document.querySelector('[name=notBefore]').getAttribute('aria-invalid') === 'true'")
	w.shot("send-too-late-wide")
	w.accessible()

	w.fill("Not before", tomorrow.UTC().Add(5*time.Hour+30*time.Minute).Format(local))
	w.wait("the command line has the time in UTC", "document.querySelector('.curl').innerText.includes("+quoted(`"notBefore":"`+tomorrow.UTC().Format(local)+`.000Z"`)+")")
	w.click("button", "Send")
	w.shows("Waits until " + tomorrow.UTC().Add(5*time.Hour+30*time.Minute).Format(time.DateTime))
	w.wait("the field is not marked any more", "!document.querySelector('[name=notBefore]').hasAttribute('aria-invalid')")
	w.shows("Scheduled, in topic events")
	w.shot("send-scheduled-wide")
	w.accessible()

	w.click("button", "Cancel")
	w.click("dialog button", "Keep the command")
	w.wait("the dialog is gone", "!document.querySelector('dialog')")
	w.fill("Command id", "later-2")
	w.click("button", "Send")
	w.wait("the second command waits", "document.querySelector('[aria-label=\"Cancel later-2\"]')")
	w.click("button", "Cancel")
	w.shot("cancel-wide")
	w.accessible()
	w.click("dialog button", "Cancel the command")
	w.shows("The command is cancelled")

	w.visit("#/streams/user/1")
	w.shows("1 command waits for its time")
	w.shows("renameUser, not before")
	w.shot("streams-scheduled-wide")
	w.accessible()
	n := open(t, s.Service, "#/streams/user/1", narrow)
	n.dark()
	n.shows("1 command waits for its time")
	n.shot("streams-scheduled-narrow-dark")
	n.accessible()
	w.click("button", "Cancel")
	w.click("dialog button", "Cancel the command")
	w.wait("no command waits", "!document.body.innerText.includes('waits for its time') && document.body.innerText.includes('Records')")
	w.wait("both are refused", "[...document.querySelectorAll('.badge')].filter((e) => e.textContent === 'refused').length === 2")
	w.shot("streams-cancelled-wide")
}

// in sets the time zone of the window.
func (w *tab) in(zone string) {
	w.t.Helper()
	w.do("in "+zone, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
		return err
	}))
}
