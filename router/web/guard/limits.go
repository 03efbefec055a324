package guard

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/millrace/millrace/router/web"
)

// maxCallers is the number of remembered callers. A caller that comes back after
// so many other callers starts with a new budget.
const maxCallers = 10_000

// Limits bounds the requests of each caller. A caller is a token's name, a JSON
// Web Token's subject, a certificate's subject, or otherwise the remote address.
type Limits struct {
	perSecond rate.Limit
	burst     int
	inFlight  int

	mu      sync.Mutex
	callers *simplelru.LRU[string, *usage]
}

// usage is the present use of one caller.
type usage struct {
	bucket   *rate.Limiter // nil without a limit per second
	inFlight int
}

// NewLimits returns limits for each caller: requests per second after a burst of
// requests, and concurrent requests (inFlight). A limit of 0 is no limit.
func NewLimits(perSecond, burst, inFlight int) *Limits {
	callers, err := simplelru.NewLRU[string, *usage](maxCallers, nil)
	if err != nil {
		panic(err) // the size is over 0
	}
	return &Limits{perSecond: rate.Limit(perSecond), burst: max(burst, 1), inFlight: inFlight, callers: callers}
}

// enter admits a request of a caller, or returns a problem. The function leave
// must be called at the end of the request.
func (l *Limits) enter(name string) (leave func(), problem *web.Problem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u, ok := l.callers.Get(name)
	if !ok {
		u = new(usage)
		if l.perSecond > 0 {
			u.bucket = rate.NewLimiter(l.perSecond, l.burst)
		}
		l.callers.Add(name, u)
	}
	if l.inFlight > 0 && u.inFlight >= l.inFlight {
		return nil, tooMany("this caller has too many requests under way", time.Second)
	}
	if u.bucket != nil {
		now := time.Now()
		if place := u.bucket.ReserveN(now, 1); place.DelayFrom(now) > 0 {
			wait := place.DelayFrom(now)
			place.CancelAt(now)
			return nil, tooMany("this caller asks too often", wait)
		}
	}
	u.inFlight++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		u.inFlight--
	}, nil
}

func tooMany(detail string, wait time.Duration) *web.Problem {
	return &web.Problem{
		Slug: "too-many-requests", Status: http.StatusTooManyRequests,
		Title: "Too many requests", Detail: detail, RetryAfter: wait,
	}
}

// address returns a caller's name by the remote address. Of an IPv6 address
// only the network (/64) counts, because one caller usually has a whole network.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "address " + r.RemoteAddr
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() && !ip.Is4In6() {
		if network, err := ip.WithZone("").Prefix(64); err == nil {
			host = network.String()
		}
	}
	return "address " + host
}
