// Package console tries the console in a real browser: a headless Chromium opens
// the pages of a running service.
//
// The package is a module of its own: a module that imports Millrace doesn't get
// the driver of the browser. The tests run in make test-console only, because
// not every machine has a Chromium. The screenshots are in bin/console.
package console
