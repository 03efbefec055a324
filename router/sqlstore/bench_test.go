package sqlstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// BenchmarkUpdate is an update with a batch of events of different streams,
// among 100,000 streams: a head and a row are read and written for each event.
func BenchmarkUpdate(b *testing.B) {
	for name, database := range map[string]func(testing.TB) opener{"sqlite": sqliteDatabase, "postgres": postgresDatabase} {
		for _, events := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", name, events), func(b *testing.B) {
				p := people()
				store := prepared(b, database(b)(), p)
				random := rand.New(rand.NewPCG(1, 2))
				streams, keys := make([]string, events), make([]projection.Row, events)
				for next := int64(0); b.Loop(); next++ {
					for i := range streams {
						streams[i] = fmt.Sprint(random.IntN(100_000))
						keys[i] = projection.Row{streams[i]}
					}
					err := store.Update(b.Context(), p, from(at(0, next), at(0, next+1)), nil, func(tx readmodel.Tx) error {
						heads, err := tx.Heads(b.Context(), streams)
						if err != nil {
							return err
						}
						rows, err := tx.Rows(b.Context(), "person", keys)
						if err != nil {
							return err
						}
						known := make(map[any]projection.Row, events)
						for _, row := range rows {
							known[row[0]] = row
						}
						after := make([]projection.Row, 0, events)
						for _, stream := range streams {
							head := heads[stream]
							head.Head = eventlog.Head{Seq: head.Seq + 1, Version: head.Version + 1, Digest: digest(byte(next))}
							heads[stream] = head
							row := known[stream]
							if row == nil {
								row = person(stream)
							}
							after = append(after, row)
						}
						if err := tx.Put(b.Context(), "person", after); err != nil {
							return err
						}
						return tx.PutHeads(b.Context(), heads)
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkFourModels updates four read models at once by one record each, in a
// shared transaction or each in a transaction of its own.
func BenchmarkFourModels(b *testing.B) {
	const models = 4
	for name, database := range map[string]func(testing.TB) opener{"sqlite": sqliteDatabase, "postgres": postgresDatabase} {
		for _, shared := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/shared=%t", name, shared), func(b *testing.B) {
				store := database(b)()
				var all []*projection.Projection
				for i := range models {
					p := people()
					p.Name = fmt.Sprint("m", i)
					prepared(b, store, p)
					all = append(all, p)
				}
				next := int64(0)
				for b.Loop() {
					var running sync.WaitGroup
					for _, p := range all {
						running.Go(func() {
							store.sharing.note(p, !shared)
							stream := fmt.Sprint(next % 10_000)
							ahead := func() readmodel.Ahead {
								return readmodel.Ahead{Streams: []string{stream}, Keys: []projection.RowKey{{Table: "person", Key: projection.Row{stream}}}}
							}
							err := store.Update(b.Context(), p, from(at(0, next), at(0, next+1)), ahead, func(tx readmodel.Tx) error {
								_, err := tx.Heads(b.Context(), []string{stream})
								_, rows := tx.Rows(b.Context(), "person", []projection.Row{{stream}})
								return errors.Join(err, rows,
									tx.Put(b.Context(), "person", []projection.Row{person(stream)}),
									tx.PutHeads(b.Context(), map[string]readmodel.StreamHead{stream: {}}))
							})
							if err != nil {
								b.Error(err)
							}
						})
					}
					running.Wait()
					next++
				}
			})
		}
	}
}

// BenchmarkFind looks at a row of 10,000.
func BenchmarkFind(b *testing.B) {
	for name, database := range map[string]func(testing.TB) opener{"sqlite": sqliteDatabase, "postgres": postgresDatabase} {
		b.Run(name, func(b *testing.B) {
			p := people()
			store := prepared(b, database(b)(), p)
			var all []projection.Row
			for i := range 10_000 {
				all = append(all, person(fmt.Sprint(i)))
			}
			put(b, store, p, "person", all...)
			for i := 0; b.Loop(); i++ {
				key := projection.Row{fmt.Sprint(i % 10_000)}
				ahead := readmodel.Ahead{Keys: []projection.RowKey{{Table: "person", Key: key}}}
				err := store.ViewAhead(b.Context(), p, ahead, func(v readmodel.View) error {
					rows, err := v.Rows(b.Context(), "person", []projection.Row{key})
					if err == nil && len(rows) != 1 {
						err = errors.New("no row")
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
