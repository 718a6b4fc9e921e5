mod have;
pub(crate) mod idle;
mod manifests;
pub(crate) mod seeding;
pub(crate) mod serve;
mod withdraw;
