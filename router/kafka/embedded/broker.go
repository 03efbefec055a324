package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Broker is one running broker (kfake, a part of franz-go).
//
// A killed process loses no acknowledged message. A machine without power loses
// the messages that the operating system had not written yet. With sync the
// broker forces each batch to the disk, and the machine loses nothing either, at
// the cost of a disk write per batch.
type Broker struct {
	cluster *kfake.Cluster
	lock    *flock.Flock
	address string
	near    *nearListener
}

// ErrDataInUse is returned when another broker uses the data folder.
var ErrDataInUse = errors.New("in use by another process")

// Start starts a broker on address (host:port) with its data in folder dir.
// Clients need the given security. Start returns [ErrDataInUse] or
// [ErrMechanism], or an error that names the address or the folder.
func Start(address, dir string, sync bool, security Security, log *slog.Logger) (*Broker, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("broker address: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("broker address %s: %w", address, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("broker data folder: %w", err)
	}
	// kfake takes no lock: two brokers would write into the same files.
	lock := flock.New(filepath.Join(dir, "lock"))
	if locked, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("lock broker data folder %s: %w", dir, err)
	} else if !locked {
		return nil, fmt.Errorf("broker data folder %s is %w", dir, ErrDataInUse)
	}
	opts, err := security.options(dir)
	if err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("broker: %w", err)
	}
	logger := &brokerLog{log: log}
	var near *nearListener
	opts = append(opts,
		kfake.Ports(port),
		kfake.ClusterID("millrace"),
		kfake.DataDir(dir),
		kfake.WithLogger(logger),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			listener, err := new(net.ListenConfig).Listen(context.Background(), network, address)
			if err != nil {
				return nil, err
			}
			near = newNearListener(advertised{listener, host})
			return memberListener{security.listener(near)}, nil
		}),
	)
	if sync {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err == nil && logger.truncated.Load() {
		// kfake has cut damaged batches off a file, and would look for new batches
		// where these would be in the whole file. The second start measures again.
		cluster.Close()
		cluster, err = kfake.NewCluster(opts...)
	}
	if err != nil {
		_ = lock.Unlock()
		var listen *net.OpError
		if errors.As(err, &listen) {
			return nil, fmt.Errorf("broker.address: can't listen on %s: %w", address, err)
		}
		return nil, fmt.Errorf("start broker on %s: %w", dir, err)
	}
	return &Broker{cluster: cluster, lock: lock, address: cluster.ListenAddrs()[0], near: near}, nil
}

// Runs says whether a broker runs on a data folder.
func Runs(dir string) bool {
	path := filepath.Join(dir, "lock")
	if _, err := os.Stat(path); err != nil {
		return false // TryLock would make the file
	}
	lock := flock.New(path)
	locked, err := lock.TryLock()
	if locked {
		_ = lock.Unlock()
	}
	return err == nil && !locked
}

// Addr returns the broker's address, as host:port.
func (b *Broker) Addr() string { return b.address }

// Dial opens a connection of this process to the broker, in memory. The connection
// is nil for any other address than the broker's, and once the broker is closed.
func (b *Broker) Dial(address string) net.Conn {
	if address != b.address {
		return nil
	}
	return b.near.dial()
}

// Cluster returns the broker's kfake cluster, for tests with faults.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close writes all data to the disk, stops the broker, and unlocks the folder.
func (b *Broker) Close() error {
	b.cluster.Close()
	return b.lock.Unlock()
}

// advertised is a listener that names the configured host as its address,
// because the broker tells clients the listener's address.
type advertised struct {
	net.Listener
	host string
}

type advertisedAddr struct {
	net.Addr
	text string
}

func (a advertisedAddr) String() string { return a.text }

func (a advertised) Addr() net.Addr {
	addr := a.Listener.Addr()
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil || a.host == "" {
		return addr
	}
	return advertisedAddr{addr, net.JoinHostPort(a.host, port)}
}

// brokerLog logs the broker's errors and warnings as such, and all other lines
// with level debug.
type brokerLog struct {
	log       *slog.Logger
	truncated atomic.Bool // the broker has cut damaged batches off a file
}

// truncating is the warning before such a cut, without the place.
const truncating = "truncating %d corrupt bytes"

func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if strings.Contains(format, truncating) {
		l.truncated.Store(true)
	}
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	if l.log.Enabled(context.Background(), to) {
		l.log.Log(context.Background(), to, fmt.Sprintf(format, args...), "component", "broker")
	}
}
