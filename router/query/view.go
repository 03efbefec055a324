package query

import "github.com/millrace/millrace/router/readmodel"

// View is a consistent view of a read model, for queries. With this name, read
// models need no import of the engine.
type View = readmodel.View

// StreamHead is the state of a stream in a read model: the version, and whether
// the stream is parked.
type StreamHead = readmodel.StreamHead
