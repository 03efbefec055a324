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
	// keysRest is how long the issuer is left alone after its keys were read,
	// and keysRetry after they could not be.
	keysRest, keysRetry = time.Minute, 5 * time.Second
	// keysFresh is when keys are read again while the old ones serve, and
	// keysStale when the old ones serve no more.
	keysFresh, keysStale = 10 * time.Minute, time.Hour
	// keysTimeout is how long reading them may take.
	keysTimeout = 5 * time.Second
)

// errNoKeys is that no token can be verified.
var errNoKeys = errors.New("the issuer's keys can't be read")

// Keys are an issuer's public keys. They are kept, read again when they are
// old or a token names one that isn't there, and at most once a minute. Keys
// that can't be read for an hour are forgotten, and no token is good then.
type Keys struct {
	read func(context.Context) ([]jose.JSONWebKey, error)
	log  *slog.Logger

	known   atomic.Pointer[keySet]
	reading sync.Mutex // held while they are read
	next    time.Time  // when they may be read again
}

// keySet is the keys as they were at a time.
type keySet struct {
	keys []jose.JSONWebKey
	at   time.Time
}

// candidates are the keys that a token of that key id and algorithm may be
// signed by, public ones only.
func (k *Keys) candidates(ctx context.Context, id, algorithm string) ([]any, error) {
	now := time.Now()
	known := k.known.Load()
	found := known.matching(id, algorithm)
	switch {
	case known == nil || now.Sub(known.at) > keysStale || len(found) == 0:
		k.refresh(ctx, known)
	case now.Sub(known.at) > keysFresh && k.reading.TryLock():
		go func() { // others go on with the old ones meanwhile
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

// matching are those of the set that fit. A key without an id fits any.
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

// refresh reads the keys again, unless somebody has done so since they were as
// the caller saw them.
func (k *Keys) refresh(ctx context.Context, seen *keySet) {
	k.reading.Lock()
	defer k.reading.Unlock()
	if k.known.Load() == seen {
		k.readAgain(ctx)
	}
}

// readAgain reads the keys, unless the issuer is to be left alone.
func (k *Keys) readAgain(ctx context.Context) {
	if time.Now().Before(k.next) {
		return
	}
	// Others wait for the keys too: it doesn't end with the request.
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
