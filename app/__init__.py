"""Front doors: `uvicorn app.main:app` and `streamlit run app/frontend.py`."""
