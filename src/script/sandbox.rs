//! stub
/// stub
pub fn engine() -> rhai::Engine {
    rhai::Engine::new()
}
