// Package console has the pages for browsers on the admin address, and the API
// behind the pages.
//
// A view is a page with its part of the API below /api/. A view reads and acts
// through functions that router/service hands in, so this package knows no
// Kafka client and no command line. The pages are plain ES modules in the folder
// assets: a page makes every element by a function that takes text as text, and
// the Content-Security-Policy forbids every other way.
//
// # The ground
//
//   - console.go: [Console], the views of a process, and GET /api/console
//   - api.go: [API], the routes of views
//   - events.go: [EventStream], answers that go on (server-sent events)
//   - assets.go: the page and its files
//   - session.go: login and logout
//   - cross_site.go: requests that other sites make are refused
//   - documents.go: the OpenAPI fragments of the views
//
// # The views
//
//   - overview.go, sampler.go: how the process does, now and in the last 15
//     minutes
//   - log.go, tail.go: the records of the log as they come
//   - streams.go: a stream's records, chain and states
//   - send.go: a form for each command, and the command's way
//   - trouble.go: parked commands, dead letters; reactions.go: streams parked in
//     reactions
//   - models.go, verify.go: read models, and their proof; jobs.go: actions in the
//     background
//   - settings.go: the configuration in force, the build, topics and groups
package console
