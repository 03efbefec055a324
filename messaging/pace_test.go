package messaging

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A request that comes alone goes out at once; the next one takes its time.
// All of one request goes out together.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, broker := net.Pipe()
		go func() { // answers
			word := make([]byte, 2)
			for {
				if _, err := broker.Read(word); err != nil {
					return
				}
				if _, err := broker.Write(word); err != nil {
					return
				}
			}
		}()
		conn := newPacedConn(client)
		took := func(do func() error) time.Duration {
			start := time.Now()
			if err := do(); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		ask := func() error {
			_, err := conn.Write([]byte("ab"))
			return err
		}
		answer := func() error {
			_, err := conn.Read(make([]byte, 2))
			return err
		}
		for i, want := range []time.Duration{0, pace, pace} {
			if got := took(ask); got != want {
				t.Errorf("request %d waited for %v, want %v", i+1, got, want)
			}
			if got := took(answer); got != 0 {
				t.Errorf("answer %d waited for %v", i+1, got)
			}
		}
		time.Sleep(pace / 2)
		if got := took(ask); got != pace/2 {
			t.Errorf("waited for %v, want what is left of %v", got, pace)
		}
		if err := answer(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * pace)
		if got := took(func() error { return errors.Join(ask(), answer()) }); got != 0 {
			t.Errorf("alone, and waited for %v", got)
		}
		_, _ = client.Close(), broker.Close()
	})
}
