package operations

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

// Parked returns the streams that are parked in a read model, by name.
func (m *Models) Parked(ctx context.Context, p *projection.Projection) ([]readmodel.ParkedStream, error) {
	return readmodel.Parked(ctx, m.Store, p, m.Partitions)
}

// Retry applies the events of a parked stream again, or with the stream "" of
// all parked streams. Retry returns the streams with their new heads.
func (m *Models) Retry(ctx context.Context, p *projection.Projection, stream string) ([]readmodel.ParkedStream, error) {
	all, err := m.Parked(ctx, p)
	if err != nil {
		return nil, err
	}
	parked := all
	if stream != "" {
		parked = nil
		for _, s := range all {
			if s.Stream == stream {
				parked = append(parked, s)
			}
		}
		if len(parked) == 0 {
			return nil, notFound(fmt.Sprintf("stream %s is not parked in read model %s", stream, p.Name))
		}
	}
	return readmodel.Retry(ctx, m.Store, m.Log, m.Events, p, parked, m.Logger)
}

// Verify proves read models against the log, and with repair corrects the rows
// that differ. Each proof names at most so many differences, and parked streams.
// The new fold is in a database in the folder for temporary files.
func (m *Models) Verify(ctx context.Context, models []*projection.Projection, repair bool, most int) (proofs []*readmodel.Proof, err error) {
	scratch, closeIt, err := scratchStore(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeIt()) }()
	v := &readmodel.Verifier{
		Live: m.Store, Scratch: scratch, Log: m.Log, Events: m.Events, Partitions: m.Partitions, Max: most,
		Progress: m.Progress, Compared: m.Compared,
	}
	return v.Verify(ctx, models, repair)
}

// scratchStore is an empty store. Closing deletes the store.
func scratchStore(ctx context.Context) (store readmodel.Store, closeIt func() error, err error) {
	dir, err := os.MkdirTemp("", "millrace-verify-")
	if err != nil {
		return nil, nil, fmt.Errorf("no room for the scratch database in %s; set TMPDIR to a folder that can be written: %w", os.TempDir(), err)
	}
	if store, err = sqlstore.OpenScratch(ctx, filepath.Join(dir, "scratch.db")); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }, nil
}
