package query

import "github.com/millrace/millrace/router/readmodel"

// View is a consistent view of one read model: what queries read. Authors of
// read models need no import of the engine.
type View = readmodel.View

// StreamHead is where a stream stands in a read model.
type StreamHead = readmodel.StreamHead
