package projection_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

// Customers keeps a row for each order, and counts the orders of each customer.
// Orders of all streams share the rows of the counts.
var Customers = &projection.Projection{
	Name: "customers",
	Of:   []string{"order"},
	Tables: []projection.Table{
		{Name: "orders", Columns: []projection.Column{
			{Name: "id", Type: projection.Text, Key: true},
			{Name: "customer", Type: projection.Text},
			{Name: "placed_at", Type: projection.Text}, // RFC 3339
		}},
		{Name: "counts", Columns: []projection.Column{
			{Name: "customer", Type: projection.Text, Key: true},
			{Name: "orders", Type: projection.Integer},
		}},
	},
	Keys: func(e projection.Event) []projection.RowKey {
		placed, ok := e.Data.(*orders.OrderPlaced)
		if !ok {
			return nil
		}
		return []projection.RowKey{{Table: "counts", Key: projection.Row{placed.Name}}}
	},
	Apply: func(rows projection.Rows, e projection.Event) error {
		placed, ok := e.Data.(*orders.OrderPlaced)
		if !ok {
			return nil // another event, or a command without an event
		}
		rows.Put("orders", projection.Row{placed.ID, placed.Name, e.TimeText()})
		before := rows.Get("counts", placed.Name).Integer(1) // 0 if there is no row
		rows.Put("counts", projection.Row{placed.Name, before + 1})
		return nil
	},
}

// printer stands for the t of a test, and prints failures.
type printer struct {
	testing.TB
	cleanups []func()
}

func (*printer) Helper()                      {}
func (*printer) Context() context.Context     { return context.Background() }
func (p *printer) Cleanup(f func())           { p.cleanups = append(p.cleanups, f) }
func (*printer) Error(args ...any)            { fmt.Fprintln(os.Stdout, args...) }
func (*printer) Fatal(args ...any)            { fmt.Fprintln(os.Stdout, args...) }
func (*printer) Fatalf(f string, args ...any) { fmt.Fprintf(os.Stdout, f, args...) }

// end runs the cleanups, the last first.
func (p *printer) end() {
	for _, f := range slices.Backward(p.cleanups) {
		f()
	}
}

func ExampleProjection() {
	log := new(projectiontest.Log)
	log.Event(orders.Aggregate, orders.OrderPlaced{ID: "1", Name: "Ada"})
	log.Event(orders.Aggregate, orders.OrderPlaced{ID: "2", Name: "Grace"})
	log.Again("order/2") // a process that was killed writes the record again
	log.Event(orders.Aggregate, orders.OrderPlaced{ID: "3", Name: "Ada"})
	log.Refused(orders.Aggregate, "3", "placeOrder", orders.ErrExists)

	t := new(printer) // in a test: t *testing.T
	defer t.end()
	m := projectiontest.Open(t, Customers, orders.Aggregate)
	m.Fold(log)
	for _, table := range Customers.Tables {
		fmt.Print(m.Rows(table))
	}
	// Output:
	// orders ["1","Ada","2026-01-02T12:00:00.045Z"]
	// 	orders ["2","Grace","2026-01-02T12:00:01.045Z"]
	// 	orders ["3","Ada","2026-01-02T12:00:03.045Z"]
	// 	counts ["Ada",2]
	// 	counts ["Grace",1]
}
