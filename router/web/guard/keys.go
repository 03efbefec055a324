package guard

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysRest is the pause after a successful read of the keys, keysRetry the
	// pause after a failed read.
	keysRest, keysRetry = time.Minute, 5 * time.Second
	// keysFresh is the age at which keys are read again in the background,
	// keysStale the age at which keys are no longer used.
	keysFresh, keysStale = 10 * time.Minute, time.Hour
	// keysTimeout is the limit of a read.
	keysTimeout = 5 * time.Second
)

// errNoKeys says that no token can be verified.
var errNoKeys = errors.New("the issuer's keys can't be read")

// Keys has an issuer's public keys. Keys are read again after 10 minutes, or
// when a token names an unknown key, but at most once a minute. If reading fails
// for an hour, the keys are no longer used, and no token can be verified.
type Keys struct {
	read func(context.Context) ([]jose.JSONWebKey, error)
	log  *slog.Logger

	known   atomic.Pointer[keySet]
	reading sync.Mutex // locked during a read
	next    time.Time  // earliest time of the next read
}

// keySet is the result of a read.
type keySet struct {
	keys []jose.JSONWebKey
	at   time.Time // of the read
}

// candidates returns the public keys that may have signed a token with this key
// id and algorithm.
func (k *Keys) candidates(ctx context.Context, id, algorithm string) ([]any, error) {
	now := time.Now()
	known := k.known.Load()
	found := known.matching(id, algorithm)
	switch {
	case known == nil || now.Sub(known.at) > keysStale || len(found) == 0:
		k.refresh(ctx, known)
	case now.Sub(known.at) > keysFresh && k.reading.TryLock():
		go func() { // the old keys serve meanwhile
			defer k.reading.Unlock()
			k.readAgain(ctx)
		}()
	}
	known = k.known.Load()
	if known == nil || now.Sub(known.at) > keysStale {
		return nil, errNoKeys
	}
	return known.matching(id, algorithm), nil
}

// matching returns the keys with this id and algorithm. A key without an id
// matches any id.
func (s *keySet) matching(id, algorithm string) (keys []any) {
	if s == nil {
		return nil
	}
	for _, key := range s.keys {
		if (id == "" || key.KeyID == "" || key.KeyID == id) && (key.Algorithm == "" || key.Algorithm == algorithm) {
			keys = append(keys, key.Key)
		}
	}
	return keys
}

// refresh reads the keys again, unless another call has replaced the set that
// the caller saw.
func (k *Keys) refresh(ctx context.Context, seen *keySet) {
	k.reading.Lock()
	defer k.reading.Unlock()
	if k.known.Load() == seen {
		k.readAgain(ctx)
	}
}

// readAgain reads the keys, unless the pause after the last read still lasts.
func (k *Keys) readAgain(ctx context.Context) {
	if time.Now().Before(k.next) {
		return
	}
	// Other requests wait for the keys too, so the read outlives this request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	keys, err := k.read(ctx)
	if err != nil {
		k.next = time.Now().Add(keysRetry)
		k.log.Warn("the issuer's keys can't be read", "error", err)
		return
	}
	k.next = time.Now().Add(keysRest)
	k.known.Store(&keySet{keys, time.Now()})
}
