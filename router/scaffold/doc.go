// Package scaffold writes the files of a service: a new service, a new aggregate
// with a read model, a new command with an event, and a new reaction. The command
// line of every service has the four as "new".
//
//   - service.go, aggregate.go, command.go, reaction.go: the four
//   - names.go: an aggregate's names, in code, on the wire and in texts
//   - grammar.go: plurals, articles, and events in the past tense
//   - templates.go: the files as templates, in the folder templates
//   - module.go, definition.go, message.go: the code of a team's service, as parsed
//     by go/ast
//   - edit.go: a line more in a list of a team's file; all other lines stay
//   - changes.go: nothing is written before everything is known, and no file is
//     overwritten
//
// A place that is not found in a team's file is no guess: [Written.ByHand] has
// the lines to add.
package scaffold
