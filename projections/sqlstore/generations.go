package sqlstore

// stateLive is the state of the one generation of a read model that is read,
// and that the engines fold.
const stateLive = "live"
