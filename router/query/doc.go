// Package query answers queries from read models. A service lists each read model
// with its queries as a [Model]. The queries use a [Reader]:
//
//   - [Reader.ReadOne] for one aggregate, such as GET /orders/{id}
//   - [Reader.Read] for anything else, such as a list; [Limit], [EncodeCursor] and
//     [Reader.LinkNext] make pages
//   - [Reader.Find] for a single row by its key, when many clients ask at the same
//     time
//
// All three know Read-After, and set Position and Cache-Control. Package history
// has the history of every aggregate and the stream of changes, package
// commandstatus the status of every command.
package query
